/** All that comes, once it has ended. */
export async function gather<T>(source: AsyncIterable<T> | Iterable<T>): Promise<T[]> {
  const values: T[] = []
  for await (const value of source) values.push(value)
  return values
}
