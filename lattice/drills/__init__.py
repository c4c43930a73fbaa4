"""Failover drills on one machine: real servers, real hosts, steady load from outside, and something that breaks."""
