"""The phantom: parametric people, imaged as a multi-site study with known truth."""
