"""What is asked across a table: budgets, break points, target prices, why not, ways out, comparisons."""
