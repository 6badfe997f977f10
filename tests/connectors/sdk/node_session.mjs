// A session of the official Node SDK, unchanged: node node_session.mjs URL WRITE_KEY
import { Analytics } from '@segment/analytics-node'

const [host, writeKey] = process.argv.slice(2)
const analytics = new Analytics({ writeKey, host, flushAt: 3, maxRetries: 10 })
analytics.on('error', (error) => {
  console.error(error.code, error.reason)
  process.exitCode = 1
})
const who = { userId: 'node-1', anonymousId: 'node-anon' }
analytics.identify({ ...who, traits: { email: 'Node@Example.com' } })
analytics.track({
  ...who,
  event: 'Order Completed',
  properties: { order_id: 'n1', total: 0.3, currency: 'EUR' },
  timestamp: new Date('2024-05-06T07:08:09.123Z'),
})
analytics.page({ ...who, name: 'Home', properties: { url: 'https://shop.example/' } })
analytics.screen({ ...who, name: 'Main' })
analytics.group({ ...who, groupId: 'acct-9', traits: { name: 'AE' } })
analytics.alias({ userId: 'node-1', previousId: 'node-old' })
analytics.track({ ...who, event: 'Cut \ud83d', properties: { nothing: null } })
await analytics.closeAndFlush()
