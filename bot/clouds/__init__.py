"""The only window to the internet: signed requests to the clouds, under one throttle."""
