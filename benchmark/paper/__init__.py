"""The paper as data: printed tables, their audit, its claims, and the questions that it leaves open."""
