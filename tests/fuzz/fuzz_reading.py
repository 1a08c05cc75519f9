"""Feed damaged DICOM files and zips to reading: every input has to be read or refused by code.

    python tests/fuzz/fuzz_reading.py --inputs 20000 --out fuzz.json

Input `i` depends on the seed and `i` alone, so that a run resumes where it was stopped and one
input can be run again with ``--only i``. Exits 1 if anything but a `SqueezeCTError` came out, an
input took longer than five seconds, or memory went beyond two gigabytes.
"""

import argparse
import io
import json
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from pathlib import Path

from squeezect.errors import SqueezeCTError
from squeezect.phantom import DicomStyle, chest_grid, thorax, write_dicom
from squeezect.phantom.dicom import SYNTAXES
from squeezect.reading import inspect, read_scan, read_slice

LONGEST_S = 5.0
MOST_BYTES = 2 << 30
TAGS = [
    b"\x28\x00\x10\x00",  # Rows
    b"\x28\x00\x11\x00",  # Columns
    b"\x28\x00\x08\x00",  # NumberOfFrames
    b"\x28\x00\x00\x01",  # BitsAllocated
    b"\x28\x00\x01\x01",  # BitsStored
    b"\x28\x00\x02\x01",  # HighBit
    b"\x28\x00\x03\x01",  # PixelRepresentation
    b"\x28\x00\x30\x00",  # PixelSpacing
    b"\x28\x00\x53\x10",  # RescaleSlope
    b"\x28\x00\x52\x10",  # RescaleIntercept
    b"\x20\x00\x32\x00",  # ImagePositionPatient
    b"\x20\x00\x37\x00",  # ImageOrientationPatient
    b"\x02\x00\x10\x00",  # TransferSyntaxUID
    b"\x08\x00\x16\x00",  # SOPClassUID
    b"\xe0\x7f\x10\x00",  # PixelData
]
WORDS = [b"\xff\xff", b"\0\0", b"\xff\xff\xff\xff", b"SQ", b"UN", b"-1", b"1e309", b"nan", b"\\"]


def seeds(folder: Path) -> list[list[bytes]]:
    """Small sound series, one per transfer syntax that can be written; six slices each."""
    series = []
    for syntax in SYNTAXES:
        scan, _ = thorax(1, grid=chest_grid(1, spacing_mm=9.0, thickness_mm=50.0))
        try:
            files = write_dicom(scan, folder / syntax, DicomStyle(syntax=syntax))
        except ValueError:  # a syntax that this pydicom does not write
            continue
        series.append([file.read_bytes() for file in files])
    return series


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One to several damages of one file."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4, 16])):
        kind = rng.randrange(8)
        at = rng.randrange(max(len(out), 1))
        if rng.random() < 0.6:
            at = min(at, rng.randrange(1, 2000))
        if kind == 0 and out:
            out[at % len(out)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del out[at:]
        elif kind == 2:
            out[at:at] = rng.randbytes(rng.choice([1, 2, 7, 300]))
        elif kind == 3:
            del out[at : at + rng.choice([1, 2, 8, 64])]
        elif kind == 4:
            word = rng.choice(WORDS)
            out[at : at + len(word)] = word
        elif kind == 5:
            place = out.find(rng.choice(TAGS))
            if place >= 0:
                start = place + rng.choice([4, 6, 8, 8, 8, 12])
                word = rng.choice([*WORDS, rng.randbytes(2), rng.randbytes(4)])
                out[start : start + len(word)] = word
        elif kind == 6:
            # Sequences without an end, in each other.
            nest = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
            place = out.find(b"\x08\x00\x60\x00")
            out[max(place, 0) : max(place, 0)] = nest * rng.choice([1, 50, 3000])
        else:
            out[at : at + 200] = rng.randbytes(200)
    return bytes(out)


def make(index: int, seed: int, series: list[list[bytes]], folder: Path) -> Path:
    """Write input `index` and return its path."""
    rng = random.Random(f"{seed} {index}")
    files = list(rng.choice(series))
    for _ in range(rng.choice([1, 1, 2, 6])):
        victim = rng.randrange(len(files))
        files[victim] = mutate(files[victim], rng)
    if rng.random() < 0.3:
        memory = io.BytesIO()
        packing = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
        with zipfile.ZipFile(memory, "w", packing) as archive:
            for number, data in enumerate(files):
                name = rng.choice(["a/{}.dcm", "{}", "../../{}.dcm", "/etc/{}", "x/" * 40 + "{}"])
                archive.writestr(name.format(number), data)
        data = memory.getvalue()
        path = folder / "input.zip"
        path.write_bytes(mutate(data, rng) if rng.random() < 0.7 else data)
        return path
    scan = folder / "input"
    scan.mkdir(exist_ok=True)
    for old in scan.iterdir():
        old.unlink()
    for number, data in enumerate(files):
        (scan / f"{number}.dcm").write_bytes(data)
    return scan


def outcome(path: Path, turn: int) -> str:
    """What came of one input: ``read``, a code, or the traceback of what must not happen."""
    try:
        if turn % 4 == 0:
            inspect(path)
        elif turn % 4 == 1 and path.is_dir():
            read_slice(sorted(path.iterdir())[0])
        else:
            read_scan(path, allow=["not-hounsfield"])
    except SqueezeCTError as error:
        return error.code
    except BaseException:  # noqa: BLE001 - whatever escapes is what this looks for
        return traceback.format_exc()
    return "read"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("fuzz.json"))
    parser.add_argument("--only", type=int)
    options = parser.parse_args()
    state = {"next": 0, "seed": options.seed, "outcomes": {}, "failures": [], "slowest_s": 0.0}
    if options.out.exists() and options.only is None:
        state = json.loads(options.out.read_text())
    first, last = state["next"], options.inputs
    if options.only is not None:
        first, last = options.only, options.only + 1
    # A decoder that hangs in native code is ended by the alarm's default: the process dies, and
    # the saved state names the input before it.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        series = seeds(folder / "seeds")
        for index in range(first, last):
            path = make(index, options.seed, series, folder)
            if index % 200 == 0 or options.only is not None:
                options.out.write_text(json.dumps({**state, "next": index}, indent=1))
            signal.alarm(60)
            started = time.perf_counter()
            result = outcome(path, index)
            seconds = time.perf_counter() - started
            signal.alarm(0)
            state["slowest_s"] = max(state["slowest_s"], seconds)
            if "\n" in result or seconds > LONGEST_S:
                state["failures"].append({"input": index, "seconds": seconds, "what": result})
                result = "failure"
            state["outcomes"][result] = state["outcomes"].get(result, 0) + 1
    state["next"] = last
    state["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    options.out.write_text(json.dumps(state, indent=1))
    print(json.dumps({k: v for k, v in state.items() if k != "failures"}, indent=1))
    for failure in state["failures"][:5]:
        print(failure["input"], failure["seconds"], failure["what"])
    return int(bool(state["failures"]) or state["peak_bytes"] > MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
