"""Run the tool from a checkout: ``python cli.py problems/chatbot_100users.yaml``."""

from optimizer.commands import main

if __name__ == "__main__":
    main()
