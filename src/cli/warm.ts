/** Imports what the server, its worker and the commands are made of, so that the compile cache holds it before the first start; part of the install step. */
import { fileURLToPath } from 'node:url';
import { loadFolder } from '../platform/folder.ts';

const folders = ['../resources/', '../operations/', '../jobs/'].map((name) =>
  loadFolder(fileURLToPath(new URL(name, import.meta.url))),
);
await Promise.all([
  ...folders,
  import('../compose-demo.ts'),
  import('../compose-http.ts'),
  import('../compose-prepare.ts'),
  import('../compose-worker.ts'),
  import('../compose.ts'),
  import('../demo/accounts.ts'),
  import('../demo/seed.ts'),
  import('../platform/database/orm.ts'),
  import('../platform/queue.ts'),
]);
