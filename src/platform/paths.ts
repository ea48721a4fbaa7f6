/** Places in the project's folder. */
import { fileURLToPath } from 'node:url';

export const projectFolder = fileURLToPath(new URL('../../', import.meta.url));
export const migrationsFolder = fileURLToPath(new URL('../../migrations/', import.meta.url));
