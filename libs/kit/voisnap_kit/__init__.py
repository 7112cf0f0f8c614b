"""Technical glue that knows no resource. Each module is one tool; import the module you need."""
