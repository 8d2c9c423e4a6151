"""The listing of the archive's object store: keys with size, ETag and date, up to 1,000 a page, in order of the keys.

Only what a plain listing takes is understood: `prefix`, `marker` (keys come after it) and `max-keys`.
"""

import datetime as dt
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from itertools import islice
from xml.sax.saxutils import escape

from nt_run.demo.answers import Answer, Query
from nt_run.demo.archive import Archive

PATH = "/data.binance.vision"
"""Where the bucket is, as the object store spells it: by its name."""

_MOST_KEYS = 1000
_KNOWN = {"prefix", "marker", "max-keys"}
_XML = "application/xml"


class Bucket:
    """Lists the files of an archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def answer(self, query: Query) -> Answer:
        """Return one page of the listing, or the object store's refusal."""
        if query.keys() - _KNOWN:
            return _refusal(501, "NotImplemented", "A parameter you provided implies functionality that is not there.")
        asked = query.get("max-keys", str(_MOST_KEYS))
        if not asked.isdecimal():
            return _refusal(400, "InvalidArgument", "Provided max-keys not an integer or within integer range")
        most = min(int(asked), _MOST_KEYS)
        prefix, marker = query.get("prefix", ""), query.get("marker", "")
        found = list(islice(self._entries(prefix, marker), most + 1))
        truncated = str(len(found) > most).lower()
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>data.binance.vision</Name>'
            f"<Prefix>{escape(prefix)}</Prefix><Marker>{escape(marker)}</Marker><MaxKeys>{most}</MaxKeys>"
            f"<IsTruncated>{truncated}</IsTruncated>{''.join(found[:most])}</ListBucketResult>"
        )
        return Answer(text.encode(), content_type=_XML)

    def _entries(self, prefix: str, marker: str) -> Iterator[str]:
        for key in self._archive.keys(prefix):
            if key <= marker:
                continue
            file = self._archive.answer(f"/{key}")
            if file.status == 200:  # noqa: PLR2004 - what is published and not empty
                yield _entry(key, file)


def _entry(key: str, file: Answer) -> str:
    date = parsedate_to_datetime(file.headers["Last-Modified"]).astimezone(dt.UTC)
    return (
        f"<Contents><Key>{escape(key)}</Key><LastModified>{date:%Y-%m-%dT%H:%M:%S}.000Z</LastModified>"
        f"<ETag>{escape(file.headers['ETag'], {chr(34): '&quot;'})}</ETag><Size>{len(file.body)}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
    )


def _refusal(status: int, code: str, message: str) -> Answer:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Answer(text.encode(), status, _XML)
