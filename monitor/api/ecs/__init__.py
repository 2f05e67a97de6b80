"""Amazon ECS operations, one module a family."""
