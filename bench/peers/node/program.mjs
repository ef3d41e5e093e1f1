// What every program here does: `node run_x.mjs ROLE URL [NUMBER]`, its answer as one line of JSON.

export const BULK = 1000;
const GAPS = [20, 120]; // milliseconds between two tasks: the worker is idle again

/** Nanoseconds of the clock that all processes of a machine share. */
export const now = () => Number(process.hrtime.bigint());

/** Run the role that the command line names. */
export async function run(roles) {
  const [role, url, number] = process.argv.slice(2);
  const answer = await roles[role](url, Number(number));
  process.stdout.write(JSON.stringify(answer ?? {}) + "\n", () => process.exit(0));
}

/** Seconds that *add* took for all tasks, called with the numbers of each bulk. */
export async function timedFill(tasks, bulk, add) {
  const began = now();
  for (let first = 0; first < tasks; first += bulk) {
    await add(Array.from({ length: Math.min(bulk, tasks - first) }, (_, index) => first + index));
  }
  return { seconds: (now() - began) / 1e9 };
}

/** How many tasks *add* added in about so many seconds, each awaited. */
export async function timedSingle(seconds, add) {
  await add(-1); // connects
  const began = now();
  let tasks = 0;
  while (now() - began < seconds * 1e9) await add(tasks++);
  return { tasks, seconds: (now() - began) / 1e9 };
}

/** When *add* was called for each task; the worker is idle each time. */
export async function timedPings(tasks, add) {
  const called = [];
  for (let number = 0; number < tasks; number++) {
    const gap = GAPS[0] + Math.random() * (GAPS[1] - GAPS[0]);
    await new Promise((resolve) => setTimeout(resolve, gap));
    called.push(now());
    await add(number);
  }
  return { called };
}

/** Resolves when this process is asked to end. */
export const asked = () => new Promise((resolve) => process.once("SIGTERM", resolve));

/** What a worker's handlers did. */
export class Record {
  ran = 0;
  started = {};

  nothing() {
    this.ran++;
  }

  start(number) {
    this.started[number] = now();
  }
}
