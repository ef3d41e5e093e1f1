// graphile-worker, as its page on performance advises: local queue, batched completion.

import { Logger, makeWorkerUtils, run as runWorker, runMigrations } from "graphile-worker";
import { Record, asked, run, timedFill, timedPings, timedSingle } from "./program.mjs";

process.env.NO_LOG_SUCCESS = "1"; // a line for each job costs

const CONCURRENCY = 24;
const BULK = 10000; // its own test adds a million by one call

const preset = (connectionString) => ({
  worker: {
    connectionString,
    concurrentJobs: CONCURRENCY,
    maxPoolSize: CONCURRENCY + 1,
    localQueue: { size: 2000, refetchDelay: { durationMs: 10 } },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
    logger: new Logger(() => () => {}),
  },
});

async function withUtils(url, block) {
  const utils = await makeWorkerUtils({ preset: preset(url) });
  try {
    return await block(utils);
  } finally {
    await utils.release();
  }
}

await run({
  prepare: (url) => runMigrations({ preset: preset(url) }),

  // The SQL function under addJobs(), which would fetch every row back.
  fill: (url, tasks) =>
    withUtils(url, (utils) =>
      utils.withPgClient((client) =>
        timedFill(tasks, BULK, (numbers) =>
          client.query(
            `select 1 from graphile_worker.add_jobs(
               array(select json_populate_recordset(null::graphile_worker.job_spec, $1::json)))`,
            [JSON.stringify(numbers.map((number) => ({ identifier: "nothing", payload: { number } })))],
          ),
        ),
      ),
    ),

  single: (url, seconds) =>
    withUtils(url, (utils) =>
      timedSingle(seconds, (number) => utils.addJob("nothing", { number })),
    ),

  ping: (url, tasks) =>
    withUtils(url, (utils) => timedPings(tasks, (number) => utils.addJob("started", { number }))),

  work: async (url) => {
    const record = new Record();
    const taskList = {
      nothing: () => record.nothing(),
      started: ({ number }) => record.start(number),
    };
    const runner = await runWorker({ preset: preset(url), taskList, noHandleSignals: true });
    await asked();
    await runner.stop();
    return record;
  },
});
