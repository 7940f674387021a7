"""A simulated Alibaba Cloud: checks signatures, holds its rate limits, keeps jobs with thousands of tasks."""
