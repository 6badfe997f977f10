import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** The job on Kafka Streams: `java OnKafkaStreams at_least_once|exactly_once_v2`. */
public final class OnKafkaStreams implements Processor<byte[], byte[], byte[], byte[]> {
    private static final String STORE = "sums";

    private final Job job = new Job();
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<byte[], byte[]> store;

    @Override
    public void init(ProcessorContext<byte[], byte[]> given) {
        context = given;
        store = given.getStateStore(STORE);
    }

    @Override
    public void process(Record<byte[], byte[]> event) {
        try {
            byte[] after = job.add(store.get(event.key()), event.value());
            store.put(event.key(), after);
            context.forward(event.withValue(after));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static Topology topology(String source, String output) {
        // The cache lets the changelog have one record for every key and commit, as ours has.
        var sums = Stores.keyValueStoreBuilder(
                        Stores.persistentKeyValueStore(STORE), Serdes.ByteArray(), Serdes.ByteArray())
                .withCachingEnabled();
        return new Topology()
                .addSource("clicks", source)
                .addProcessor("add", OnKafkaStreams::new, "clicks")
                .addStateStore(sums, "add")
                .addSink("said", output, "add");
    }

    public static void main(String[] arguments) throws IOException {
        long commitMillis = Math.round(Double.parseDouble(Job.told("COMMIT_SECONDS")) * 1000);
        Properties properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, Job.told("NAME"));
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, Job.told("BOOTSTRAP"));
        properties.put(StreamsConfig.STATE_DIR_CONFIG, Job.told("FOLDER"));
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, arguments[0]);
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, commitMillis);
        properties.put(
                StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArray().getClass());
        properties.put(
                StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArray().getClass());
        KafkaStreams streams =
                new KafkaStreams(topology(Job.told("SOURCE"), Job.told("OUTPUT")), properties);
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
        Job.sayProgress();
    }
}
