/**
 * @packageDocumentation
 *
 * Frames on a libp2p stream: JSON messages checked by a schema, and binary data with offsets; bounded in size,
 * memory and time.
 */
export { framedStream, type Frame, type FramedStream, type FramedStreamInit } from './framed-stream.ts'
