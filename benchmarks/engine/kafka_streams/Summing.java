import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.module.blackbird.BlackbirdModule;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;
import org.msgpack.core.MessageBufferPacker;
import org.msgpack.core.MessagePack;
import org.msgpack.core.MessageUnpacker;

/** The job on Kafka Streams: `java Summing at_least_once|exactly_once_v2`. */
public final class Summing implements Processor<byte[], byte[], byte[], byte[]> {
    private static final String STORE = "sums";
    private static final LongAdder RECORDS = new LongAdder();
    private static final ObjectReader READ_CLICK =
            new ObjectMapper().registerModule(new BlackbirdModule()).readerFor(Click.class);

    private final MessageBufferPacker packer = MessagePack.newDefaultBufferPacker();
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<byte[], byte[]> store;

    /** What comes in, as JSON. */
    public record Click(
            String id, String type, String user, long amount, long at,
            Map<String, String> properties) {}

    /** What is kept and what goes out, as msgpack. */
    record Sums(long number, long total, long lastAt, Map<String, String> lastProperties) {
        Sums plus(Click click) {
            return new Sums(number + 1, total + click.amount(), click.at(), click.properties());
        }
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> given) {
        context = given;
        store = given.getStateStore(STORE);
    }

    @Override
    public void process(Record<byte[], byte[]> event) {
        try {
            byte[] known = store.get(event.key());
            Sums before = known == null ? new Sums(0, 0, 0, Map.of()) : read(known);
            Click click = READ_CLICK.readValue(event.value());
            byte[] after = write(before.plus(click));
            store.put(event.key(), after);
            context.forward(event.withValue(after));
            RECORDS.increment();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private byte[] write(Sums sums) throws IOException {
        packer.clear();
        packer.packArrayHeader(4).packLong(sums.number).packLong(sums.total).packLong(sums.lastAt);
        packer.packMapHeader(sums.lastProperties.size());
        for (Map.Entry<String, String> property : sums.lastProperties.entrySet()) {
            packer.packString(property.getKey()).packString(property.getValue());
        }
        return packer.toByteArray();
    }

    private static Sums read(byte[] bytes) throws IOException {
        MessageUnpacker unpacker = MessagePack.newDefaultUnpacker(bytes);
        unpacker.unpackArrayHeader();
        long number = unpacker.unpackLong();
        long total = unpacker.unpackLong();
        long lastAt = unpacker.unpackLong();
        Map<String, String> properties = new LinkedHashMap<>();
        for (int left = unpacker.unpackMapHeader(); left > 0; left--) {
            properties.put(unpacker.unpackString(), unpacker.unpackString());
        }
        return new Sums(number, total, lastAt, properties);
    }

    private static Topology topology(String source, String output) {
        // The cache lets the changelog have one record for every key and commit, as ours has.
        var sums = Stores.keyValueStoreBuilder(
                        Stores.persistentKeyValueStore(STORE), Serdes.ByteArray(), Serdes.ByteArray())
                .withCachingEnabled();
        return new Topology()
                .addSource("clicks", source)
                .addProcessor("add", Summing::new, "clicks")
                .addStateStore(sums, "add")
                .addSink("said", output, "add");
    }

    private static String told(String name) {
        return System.getenv("ENGINE_" + name);
    }

    public static void main(String[] arguments) throws IOException {
        long commitMillis = Math.round(Double.parseDouble(told("COMMIT_SECONDS")) * 1000);
        Properties properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, told("NAME"));
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, told("BOOTSTRAP"));
        properties.put(StreamsConfig.STATE_DIR_CONFIG, told("FOLDER"));
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, arguments[0]);
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, commitMillis);
        properties.put(
                StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArray().getClass());
        properties.put(
                StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArray().getClass());
        KafkaStreams streams = new KafkaStreams(topology(told("SOURCE"), told("OUTPUT")), properties);
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();

        int port = Integer.parseInt(told("PORT"));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.createContext("/metrics", exchange -> {
            byte[] answer = ("customeros_records_read_total " + RECORDS.sum() + "\n").getBytes();
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
    }
}
