"""The second opinion itself, on sessions small enough to count by hand."""

import unittest

import baselines


class Rules(unittest.TestCase):
    def test_pairs_count_in_both_directions_and_steps_by_their_distance(self):
        ar, sr = baselines.rules({"s": ["a", "b", "c"], "t": ["a", "c", "a"]})
        # a: with b once; with c once in s, twice in t; with itself twice over (both directions).
        self.assertEqual(ar["a"], ["c", "a", "b"])
        # a -> b 1; a -> c 1/2 + 1; a -> a 1/2.
        self.assertEqual(sr["a"], ["c", "b", "a"])
        self.assertEqual(sr["c"], ["a"])

    def test_steps_end_at_ten(self):
        _, sr = baselines.rules({"s": [str(place) for place in range(12)]})
        self.assertEqual(sr["0"], [str(place) for place in range(1, 11)])

    def test_twenty_partners_are_kept_and_ties_go_to_the_smaller_id(self):
        sessions = {str(n): ["x", f"{n:02}"] for n in range(30)}
        ar, _ = baselines.rules(sessions)
        self.assertEqual(ar["x"], [f"{n:02}" for n in range(20)])


if __name__ == "__main__":
    unittest.main()
