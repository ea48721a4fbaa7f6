/** The tables' layout, from the search parameters of the definitions in use. */
import type { Definitions } from '../definitions/registry.ts';
import { columnsOf, extract } from '../search/columns.ts';
import type { Layout } from './layout.ts';

/** @param baseUrl the server's own: absolute references to it are kept as `Type/id` */
export const searchLayout = (definitions: Definitions, baseUrl: string): Layout => ({
  columns: (type) => columnsOf(definitions, type),
  extract: (type, resource) => extract(definitions, type, resource, baseUrl),
});
