//! The joined row: visitor features, item features, source scores and request, one row a candidate.
