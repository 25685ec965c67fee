"""The transparency log: an RFC 6962 tree in C2SP formats, and what checks it from outside."""
