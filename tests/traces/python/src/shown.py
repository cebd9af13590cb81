import asyncio, sys, threading, logging
from orders.store import load

def run():
    load(["jug"])

what = sys.argv[1]
if what == "rich":
    from rich.traceback import install
    install(width=100)
    run()
elif what == "loguru":
    from loguru import logger
    logger.catch(run)()
elif what == "backtrace":
    from loguru import logger
    logger.remove(); logger.add(sys.stderr, diagnose=False, colorize=False)
    logger.catch(run)()
elif what == "thread":
    threading.Thread(target=run, name="pool-1").start()
elif what == "asyncio":
    logging.basicConfig()
    async def work(): run()
    async def main():
        task = asyncio.ensure_future(work())
        await asyncio.sleep(0.01)
        del task
    asyncio.run(main())
elif what == "foreign":
    try:
        raise ExceptionGroup("batch failed", [TimeoutError("no answer"), ValueError("bad")])
    except ExceptionGroup as group:
        raise RuntimeError("nightly run") from group
