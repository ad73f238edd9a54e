"""How often do earthquakes of each size happen?

Reads a catalogue (CSV with a `magnitude` column) and fits the Gutenberg-Richter law
log10 N(>=M) = a - b M.

  Mc  magnitude of completeness, by maximum curvature (Wiemer & Wyss 2000), plus 0.2
      (Woessner & Wiemer 2005)
  b   maximum likelihood for binned magnitudes (Aki 1965, Utsu 1966), with the standard
      error of Shi & Bolt (1982) and a bootstrap interval

Usage: python3 gutenberg_richter.py CATALOGUE.csv [NETWORK...]
NETWORK is the first two letters of an event's id (nc and ci: California). Networks differ in what is too
small for them to record, so one region at a time gives the sounder fit.
Writes gutenberg-richter.json and frequency-magnitude.csv to $ISHARE_OUT (default: the current folder).
"""

import csv
import json
import os
import sys

import numpy as np

BIN = 0.1
BOOTSTRAP_SAMPLES = 2000
SEED = 20180207


def read_magnitudes(path, networks):
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if not networks or row["id"][:2] in networks]
    if len(rows) < 50:
        sys.exit(f"{path}: {len(rows)} events of {' '.join(networks) or 'any network'}; 50 are needed for a fit")
    return np.array([float(row["magnitude"]) for row in rows])


def binned(magnitudes):
    """Bin numbers; a half rounds up, so that any language gives the same bins."""
    return np.floor(magnitudes / BIN + 0.5 + 1e-9).astype(int)


def completeness(bins):
    values, counts = np.unique(bins, return_counts=True)
    return int(values[np.argmax(counts)]) + 2


def b_value(magnitudes, lowest):
    return np.log10(np.e) / (magnitudes.mean() - (lowest - BIN / 2))


def main(path, networks):
    bins = binned(read_magnitudes(path, networks))
    lowest_bin = completeness(bins)
    lowest = lowest_bin * BIN
    complete = bins[bins >= lowest_bin] * BIN
    count = len(complete)
    b = b_value(complete, lowest)
    error = 2.30 * b**2 * np.sqrt(((complete - complete.mean()) ** 2).sum() / (count * (count - 1)))

    random = np.random.default_rng(SEED)
    samples = complete[random.integers(0, count, size=(BOOTSTRAP_SAMPLES, count))]
    bootstrap = np.log10(np.e) / (samples.mean(axis=1) - (lowest - BIN / 2))

    result = {
        "events": len(bins),
        "eventsComplete": count,
        "magnitudeOfCompleteness": round(lowest, 1),
        "bValue": round(float(b), 6),
        "bStandardError": round(float(error), 6),
        "bInterval95": [round(float(x), 4) for x in np.percentile(bootstrap, [2.5, 97.5])],
        "aValue": round(float(np.log10(count) + b * lowest), 6),
    }
    out = os.environ.get("ISHARE_OUT", ".")
    with open(os.path.join(out, "gutenberg-richter.json"), "w", encoding="utf-8") as file:
        json.dump(result, file, indent=2)
        file.write("\n")
    with open(os.path.join(out, "frequency-magnitude.csv"), "w", encoding="utf-8") as file:
        file.write("magnitude,events_at_least\n")
        for number in range(int(bins.min()), int(bins.max()) + 1):
            file.write(f"{number * BIN:.1f},{int((bins >= number).sum())}\n")

    print(f"{result['events']} earthquakes, {count} of them at or above Mc {result['magnitudeOfCompleteness']}")
    print(f"b = {b:.3f} +- {error:.3f}   (about 1 in most of the world)")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
