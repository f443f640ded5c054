"""A case of the benchmark: several programs with the same input, run in turn."""

import subprocess
import sys

from .process import Failed


class Case:
    """The samples of every program, and what was not as it must be."""

    def __init__(self, part, name, **facts):
        self.part, self.name, self.facts = part, name, facts
        self.rows, self.problems = [], []

    def run(self, rows, runs, measure):
        """Measures the programs in turn, `runs` times each: noise spreads over all of them."""
        samples = {id(row): [] for row in rows}
        for number in range(runs):
            for row in rows:
                print(
                    f"{self.part} {self.name} {number + 1}/{runs} {row.title:28}",
                    end=" ",
                    flush=True,
                    file=sys.stderr,
                )
                try:
                    sample = measure(row, number)
                except (Failed, OSError, subprocess.SubprocessError) as failure:
                    print(failure, file=sys.stderr)
                    self.report(row, f"failed: {failure}")
                    continue
                samples[id(row)].append(sample)
                print(f"CPU {sample['cpu_s']:.3f} s", file=sys.stderr)
        for row in rows:
            if samples[id(row)]:
                self.rows.append(
                    {
                        "title": row.title,
                        "name": row.name,
                        "role": row.role,
                        "does": row.does,
                        "samples": samples[id(row)],
                    }
                )

    def report(self, row, problem):
        """Notes that a program of this project is not as it must be; peers may be as they are."""
        if row.role in ("subject", "floor"):
            self.problems.append(f"{self.part} {self.name}: {row.title}: {problem}")

    def expect(self, row, what, found, expected):
        if found != expected:
            self.report(row, f"{what}: {found} instead of {expected}")

    def results(self):
        return {
            "part": self.part,
            "case": self.name,
            "problems": self.problems,
            "rows": self.rows,
            **self.facts,
        }
