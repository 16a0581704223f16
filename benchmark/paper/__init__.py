"""The paper as data: printed tables and their audit, claims, and open questions."""
