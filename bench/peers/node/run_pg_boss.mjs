// pg-boss: batches as arrays, several fetchers, no pause while batches are full, LISTEN/NOTIFY.

import { PgBoss } from "pg-boss";
import { Record, asked, run, timedFill, timedPings, timedSingle } from "./program.mjs";

const BULK = 1000;
const WORK = {
  batchSize: 2000,
  localConcurrency: 2,
  burstWhenBatchFull: true,
  pollingIntervalSeconds: 0.5,
};

async function withBoss(url, block, options = {}) {
  const boss = new PgBoss({ connectionString: url, ...options });
  boss.on("error", (error) => console.error(error));
  await boss.start();
  try {
    return await block(boss);
  } finally {
    await boss.stop();
  }
}

await run({
  prepare: (url) =>
    withBoss(url, async (boss) => {
      for (const queue of ["nothing", "started"]) await boss.createQueue(queue, { notify: true });
    }),

  fill: (url, tasks) =>
    withBoss(url, (boss) =>
      timedFill(tasks, BULK, (numbers) =>
        boss.insert("nothing", numbers.map((number) => ({ data: { number } }))),
      ),
    ),

  single: (url, seconds) =>
    withBoss(url, (boss) => timedSingle(seconds, (number) => boss.send("nothing", { number }))),

  ping: (url, tasks) =>
    withBoss(url, (boss) => timedPings(tasks, (number) => boss.send("started", { number }))),

  work: (url) =>
    withBoss(
      url,
      async (boss) => {
        const record = new Record();
        await boss.work("nothing", WORK, async (jobs) => jobs.forEach(() => record.nothing()));
        await boss.work("started", WORK, async (jobs) =>
          jobs.forEach((job) => record.start(job.data.number)),
        );
        await asked();
        return record;
      },
      { useListenNotify: true },
    ),
});
