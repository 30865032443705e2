"""Drawings of flows: Mermaid text, SVG pictures and words; they read the model and run nothing."""
