"""Faces: decode a photo, find faces, measure their quality, align and embed one of them.

A library without Django that knows neither searches nor the log. Nothing here embeds a face that was not passed
to `Engine.embed`.
"""
