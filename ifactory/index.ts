/**
 * @packageDocumentation
 *
 * iFactory: kernels for tenants, made and signed by somebody who is neither tenant nor landlord.
 *
 * {@link factoryService} serves PROTOCOL_FACTORY: whoever brings an offer, an acceptance and a lease that name the
 * factory gets the kernel of that lease, stamped with the tenant's keys, and its signed manifest. A provider asks
 * through {@link remoteFactory}, or has a {@link localFactory} in its own process.
 */
export { localFactory } from './issuer.ts'
export { remoteFactory } from './remote.ts'
export { factoryService, type FactoryService } from './service.ts'
export type * from './types.ts'
