"""Scripted upstream servers on real sockets: vendors' protocols, and everything that goes wrong on a wire.

``server`` listens and records, ``replies`` says what a reply is, ``faults`` spoils replies, and one module per vendor
(``openai``, ``anthropic``, ``google``, ``bedrock``) builds replies in that vendor's format. The vendor modules share
their function names, so that one test is written for all of them.
"""
