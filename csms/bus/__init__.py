"""The bus carries one hint: the journal grew. What happened is in the journal."""
