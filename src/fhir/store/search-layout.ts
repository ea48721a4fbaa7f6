/** The tables' layout, from the search parameters of the definitions in use. */
import type { ColumnSource } from '../search/blind/blind.ts';
import { columnsOf, extract } from '../search/columns.ts';
import type { Layout } from './layout.ts';

/** @param baseUrl the server's own: absolute references to it are kept as `Type/id` */
export const searchLayout = (source: ColumnSource, baseUrl: string): Layout => ({
  columns: (type) => columnsOf(source, type),
  extract: (type, resource) => extract(source, type, resource, baseUrl),
});
