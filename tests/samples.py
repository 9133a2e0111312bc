"""Small files of each kind, real enough that their bytes tell what they are."""

from __future__ import annotations

from ai_models.testing.samples import mp4, png, wav

PNG = png()
WAV = wav()
MP3 = b"ID3\x03\0\0\0\0\0\0" + b"\xff\xfb\x90d" + bytes(413)
MP4 = mp4()
PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"
TEXT = b"This is not a picture, whatever its name says."
