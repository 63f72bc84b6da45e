import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Properties;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** The benchmark's job on Kafka Streams: bootstrap, source topic, output topic, application id, state directory, threads. */
public final class OrderCount {
  private static final String STORE = "orders";
  private static final ObjectMapper JSON = new ObjectMapper();

  private static final class Count implements Processor<String, byte[], String, byte[]> {
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> store;

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
      this.context = context;
      this.store = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<String, byte[]> record) {
      try {
        JsonNode order = JSON.readTree(record.value());
        byte[] old = store.get(record.key());
        int n = old == null ? 0 : JSON.readTree(old).get("n").asInt();
        ObjectNode state = JSON.createObjectNode();
        state.put("n", n + 1).set("last", order.get("id"));
        state.set("body", order);
        store.put(record.key(), JSON.writeValueAsBytes(state));
        ObjectNode verdict = JSON.createObjectNode();
        verdict.set("id", order.get("id"));
        verdict.put("v", "APPLIED").put("n", n + 1);
        context.forward(record.withValue(JSON.writeValueAsBytes(verdict)));
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }
  }

  public static void main(String[] args) throws InterruptedException {
    Properties settings = new Properties();
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, args[3]);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, args[4]);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, args[5]);
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, "1000");
    settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, "0");
    settings.put("auto.offset.reset", "earliest");

    Topology topology = new Topology();
    topology
        .addSource("source", new StringDeserializer(), new ByteArrayDeserializer(), args[1])
        .addProcessor("count", Count::new, "source")
        .addStateStore(
            Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(STORE), Serdes.String(), Serdes.ByteArray()),
            "count")
        .addSink("sink", args[2], new StringSerializer(), new ByteArraySerializer(), "count");

    KafkaStreams streams = new KafkaStreams(topology, settings);
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
    Thread.currentThread().join();
  }
}
