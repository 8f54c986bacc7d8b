"""A WebSocket gateway for real-time collaboration: rooms, cursors, and documents under operational transformation."""

__version__ = "0.1.0"
