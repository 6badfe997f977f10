"""From events to customer state: pure packages, and their thin Faust shells in `streams`."""
