"""Tests of the score of incoming text."""
