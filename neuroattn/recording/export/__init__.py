"""Getting recordings out: one netCDF file, and one variable as other tools take it."""
