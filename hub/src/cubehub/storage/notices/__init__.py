"""What people are told before something that they made is moved, and what they keep."""
