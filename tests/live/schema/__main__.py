"""Attack a server of the example with what its schema allows and what it forbids.

    python -m tests.live.schema --cases 10000

A tenth of the cases go to a server with low throttle rates. The exit code is 1 if there was a 5xx,
a status, a header or a body that the schema doesn't describe, or a request that was answered
against it. `--seed` repeats a run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from tests.live.schema.fuzzing import LOW_RATES, USER, attack, prepare
from tests.live.site import Site


def main() -> int:
    """Run until enough cases were sent, or something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--examples", type=int, default=50, help="for each operation and phase")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started = time.monotonic()
    totals: defaultdict[str, Counter[int]] = defaultdict(Counter)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site, knowledge = prepare(Site.create(folder, f"sqlite:///{folder / 'db.sqlite3'}", USER))
        throttled = site.using(JWT_AUTH_THROTTLE_RATES=json.dumps(LOW_RATES))
        is_good, seed = True, options.seed
        while is_good and sum(map(Counter.total, totals.values())) < options.cases:
            target = throttled if seed == options.seed else site
            with target.serve() as server:
                result = attack(
                    server,
                    target,
                    knowledge,
                    examples=options.examples if target is site else 5,
                    seed=seed,
                    log=folder / "log",
                )
            for operation, statuses in result.statuses.items():
                totals[operation] += statuses
            print(
                f"seed {seed}: {result.cases} cases, {'good' if result.is_good else 'FOUND'}",
                flush=True,
            )
            if not result.is_good:
                print(result.report)
                print(server.errors())
            is_good, seed = result.is_good, seed + 1
    for operation, statuses in sorted(totals.items()):
        print(f"{operation:<32} " + "  ".join(f"{s}: {n}" for s, n in sorted(statuses.items())))
    print(f"{sum(map(Counter.total, totals.values()))} cases in {time.monotonic() - started:.0f} s")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
