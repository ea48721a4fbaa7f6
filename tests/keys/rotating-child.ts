/** A process that rotates keys, and kills itself at its n-th use of the database: `<root|data|retire> <n>`; 0: never. */
import type pg from 'pg';
import { openKairos } from '../../src/compose.ts';
import { retire, rotateData, rotateRoot } from '../../src/compose-rotation.ts';
import { loadConfig } from '../../src/platform/config.ts';

const [what = '', at = '0'] = process.argv.slice(2);
const kairos = await openKairos(loadConfig(process.env));

let uses = 0;
function count(): void {
  if (++uses === Number(at)) process.kill(process.pid, 'SIGKILL');
}
const pool: pg.Pool = new Proxy(kairos.pool, {
  get(target, name) {
    if (name !== 'connect') return Reflect.get(target, name) as unknown;
    return () => {
      count();
      return target.connect();
    };
  },
});
const processKeys: typeof kairos.processKeys = {
  ...kairos.processKeys,
  run(text, values) {
    count();
    // Half of the deaths come when the statement is under way.
    const reply = kairos.processKeys.run(text, values);
    count();
    return reply;
  },
};
const parts = { ...kairos, pool, processKeys };
const say = (line: string): void => console.log(line);
const steps = { root: rotateRoot, data: rotateData, retire };
await steps[what as keyof typeof steps](parts, say);
console.log(`done after ${uses}`);
await kairos.close();
