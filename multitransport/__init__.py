"""Rooms, requests and live updates for Quart: over WebSocket, else Server-Sent Events, else long polling."""
