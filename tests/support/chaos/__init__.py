"""Faults at random moments while events come in, and afterwards: is all of it there once?"""
