"""Load generator process: `python -m bench.load PLAN`.

PLAN is a `bench.plan.Plan` as JSON; stdout gets a `bench.plan.Result` as JSON.
"""

import argparse

import msgspec

from bench import scenarios
from bench.loops import run
from bench.plan import Plan, Result


async def perform(plan: Plan) -> Result:
    """Run the plan's load."""
    kinds = {
        "closed": scenarios.closed,
        "steady": scenarios.steady,
        "hold": scenarios.hold,
        "aborts": scenarios.aborts,
    }
    return await kinds[plan.kind](plan)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan")
    plan = msgspec.json.decode(parser.parse_args().plan, type=Plan)
    print(msgspec.json.encode(run(perform(plan))).decode())
