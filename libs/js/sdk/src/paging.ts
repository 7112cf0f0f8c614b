// Lists that load their pages as they are read.

import type { Operation, Parts, Send } from "./calls.js";
import { VoisnapError } from "./errors.js";

/** One page of a list. `total` counts the items of all pages; `nextCursor` is null on the last, and missing where a list has no cursors. */
export interface PaginatedResponse<T> {
  data: T[];
  page: number;
  pageSize: number;
  total: number;
  totalPages: number;
  nextCursor?: string | null;
}

type Query = Record<string, unknown>;

/** Iterate over it with `for await` and the pages are loaded as needed; each iteration begins anew. */
export class PagedList<T> implements AsyncIterable<T> {
  readonly #send: Send;
  readonly #operation: Operation;
  readonly #parts: Parts;

  constructor(send: Send, operation: Operation, parts: Parts) {
    this.#send = send;
    this.#operation = operation;
    this.#parts = parts;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for await (const page of this.pages()) yield* page.data;
  }

  /** Page by page, from the page or cursor of the query on, else from the first. */
  async *pages(): AsyncGenerator<PaginatedResponse<T>, void, undefined> {
    let query: Query | undefined = { ...this.#parts.query };
    while (query !== undefined) {
      const page: PaginatedResponse<T> = await this.#load(query);
      yield page;
      query = next(query, page);
    }
  }

  /** One page, from 1 on. */
  page(number = 1): Promise<PaginatedResponse<T>> {
    return this.#load({ ...this.#parts.query, page: number, cursor: undefined });
  }

  /** How many items there are in all; asks the API each time. */
  async total(): Promise<number> {
    return (await this.page(1)).total;
  }

  /** All items, or the first `limit`. */
  async toArray({ limit = Infinity }: { limit?: number } = {}): Promise<T[]> {
    const items: T[] = [];
    if (limit <= 0) return items;
    for await (const item of this) {
      items.push(item);
      if (items.length >= limit) break;
    }
    return items;
  }

  async #load(query: Query): Promise<PaginatedResponse<T>> {
    const page = await this.#send<Partial<PaginatedResponse<T>> | null>(this.#operation, { ...this.#parts, query });
    if (!Array.isArray(page?.data)) throw new VoisnapError("the API answered a list without its envelope");
    const data = page.data;
    return { page: 1, pageSize: data.length, total: data.length, totalPages: 1, ...page, data };
  }
}

/** The query of the page after this one. A cursor keeps its place when the list changes meanwhile; page numbers don't. */
function next<T>(query: Query, page: PaginatedResponse<T>): Query | undefined {
  if (page.nextCursor) return { ...query, page: undefined, cursor: page.nextCursor };
  const goesOn = !query["cursor"] && page.data.length > 0 && page.page < page.totalPages;
  return goesOn ? { ...query, page: page.page + 1 } : undefined;
}
