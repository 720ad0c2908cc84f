"""What leaves the house: problem files for beginners and editors, launch files, shortlists and pages. Rendering only.

Figures come from an ``Outcome`` or from the pricing room; nothing is predicted or decided here.
"""
