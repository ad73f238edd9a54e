/** What the DNS server of the tests says, where it says what it is asked for. */
export const ZONE: Readonly<Record<string, readonly string[]>> = {
  'good.example': ['151.101.1.1'],
  'second.example': ['1.1.1.1'],
  'forged.example': ['151.101.1.1'],
  'router.example': ['192.168.7.1'],
  'metadata.example': ['169.254.169.254'],
  'loopback.example': ['127.0.0.1', '0.0.0.0', '10.83.0.1'],
  'rebind.example': ['192.168.7.9', '151.101.1.1', '93.184.216.2'],
  'many.example': Array.from({ length: 90 }, (_, i) => `11.0.0.${i}`),
  'printer.lan': ['151.101.1.1']
}
