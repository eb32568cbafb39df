// SPDX-License-Identifier: Apache-2.0
//
// Run a bundle on a patient folder, in C++: the same decisions as aminet-run.
//
//   aminet_host BUNDLE PATIENT                 print the JSON of docs/result.md, with all scores
//   aminet_host BUNDLE --planes FILE C H W     print the probabilities of one slice
//   aminet_host BUNDLE --decide FILE           apply the decision rule to scores [Z, 15]
//
// The last two are for the conformance kit (docs/embedding.md); their files hold float32.
//
// There is no preprocessing here: window, resize and normalisation are inside of the network, which
// takes raw HU. What this file must get right is trust (hashes before parsing), orientation, scaling
// and the rule. Thresholds, labels and channels come from the network file, so no JSON is parsed.
//
// Left out, and refused where it matters: NIfTI-2 and big-endian files, slices side by side,
// ensembles, the SPIRAL map. Not checked at all: whether the scan shows a head in HU,
// which aminet-run does (aminet_runtime.scan_check). A product must check it.

#include <sys/resource.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <openvino/openvino.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;
using Bytes = std::vector<char>;

// ---- errors: the exit codes of docs/result.md ---------------------------------------------------

struct Failure {
    int exit_code;
    std::string message;
};

constexpr const char* kAtlas = "atlas";
constexpr int kRegions = 15;
const std::map<std::string, std::string> kStems{
    {"cta1", "CTA1"}, {"cta2", "CTA2regA"}, {"cta3", "CTA3regA"}, {kAtlas, "ATLASMASKregA"}};
constexpr int kUsage = 2, kMissing = 10, kDamaged = 11, kUnsupported = 12, kInconsistent = 13;
constexpr int kModelInvalid = 20, kModelUntrusted = 21, kModelIncompatible = 22, kInternal = 70;

// ---- SHA-256 (FIPS 180-4) -----------------------------------------------------------------------

class Sha256 {
public:
    static std::string hex_of(const Bytes& data) {
        Sha256 hash;
        const auto* bytes = reinterpret_cast<const uint8_t*>(data.data());
        const size_t whole = data.size() / 64 * 64;
        for (size_t at = 0; at < whole; at += 64) hash.block(bytes + at);
        // the rest, a one bit, zeros, and the length in bits
        std::array<uint8_t, 128> tail{};
        const size_t rest = data.size() - whole;
        std::copy(bytes + whole, bytes + data.size(), tail.begin());
        tail[rest] = 0x80;
        const size_t end = rest < 56 ? 64 : 128;
        const uint64_t bits = uint64_t(data.size()) * 8;
        for (int i = 0; i < 8; ++i) tail[end - 1 - i] = uint8_t(bits >> (8 * i));
        for (size_t at = 0; at < end; at += 64) hash.block(tail.data() + at);
        std::string hex(64, '0');
        for (int i = 0; i < 8; ++i) std::snprintf(&hex[8 * i], 9, "%08x", hash.state_[i]);
        return hex;
    }

private:
    std::array<uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

    static uint32_t turn(uint32_t x, int n) { return (x >> n) | (x << (32 - n)); }

    // The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
    static constexpr uint32_t kRound[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
        0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
        0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
        0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
        0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
        0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2};

    void block(const uint8_t* data) {
        uint32_t w[64];
        for (int i = 0; i < 16; ++i)
            w[i] = uint32_t(data[4 * i]) << 24 | uint32_t(data[4 * i + 1]) << 16 |
                   uint32_t(data[4 * i + 2]) << 8 | data[4 * i + 3];
        for (int i = 16; i < 64; ++i) {
            const uint32_t s0 = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ (w[i - 15] >> 3);
            const uint32_t s1 = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ (w[i - 2] >> 10);
            w[i] = w[i - 16] + s0 + w[i - 7] + s1;
        }
        auto [a, b, c, d, e, f, g, h] = state_;
        for (int i = 0; i < 64; ++i) {
            const uint32_t s1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
            const uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + kRound[i] + w[i];
            const uint32_t s0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
            const uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
            h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
        }
        const std::array<uint32_t, 8> mixed{a, b, c, d, e, f, g, h};
        for (int i = 0; i < 8; ++i) state_[i] += mixed[i];
    }
};

// ---- the bundle: hashed first, then parsed, from the same bytes ---------------------------------

Bytes read_regular(const fs::path& path, int exit_code) {
    if (fs::symlink_status(path).type() != fs::file_type::regular)
        throw Failure{exit_code, path.filename().string() + " is not a regular file"};
    std::ifstream file(path, std::ios::binary);
    Bytes data{std::istreambuf_iterator<char>(file), {}};
    if (file.bad()) throw Failure{exit_code, path.filename().string() + " cannot be read"};
    return data;
}

bool is_bundle_name(const std::string& name) {
    const auto is_allowed = [](char c) {
        return std::isalnum(uint8_t(c)) || c == '.' || c == '_' || c == '-';
    };
    return !name.empty() && name.size() <= 100 && std::isalnum(uint8_t(name[0])) &&
           std::all_of(name.begin(), name.end(), is_allowed);
}

// Verify all files that SHA256SUMS lists, and return their bytes.
std::map<std::string, Bytes> read_bundle(const fs::path& folder) {
    const Bytes sums = read_regular(folder / "SHA256SUMS", kModelInvalid);
    std::istringstream lines(std::string(sums.begin(), sums.end()));
    std::map<std::string, Bytes> files;
    for (std::string line; std::getline(lines, line);) {
        if (line.size() < 67 || line.compare(64, 2, "  ") != 0)
            throw Failure{kModelUntrusted, "SHA256SUMS has a line of another form"};
        const std::string name = line.substr(66);
        if (!is_bundle_name(name) || files.count(name))
            throw Failure{kModelUntrusted, "SHA256SUMS has a bad or repeated name"};
        Bytes data = read_regular(folder / name, kModelUntrusted);
        if (Sha256::hex_of(data) != line.substr(0, 64))
            throw Failure{kModelUntrusted, name + " was changed; get the bundle again"};
        files.emplace(name, std::move(data));
    }
    if (!files.count("model.xml") || !files.count("model.bin"))
        throw Failure{kModelUntrusted, "SHA256SUMS lists no network"};
    return files;
}

// What the network file says about itself, in its rt_info.
struct Metadata {
    std::string id, approach, precision, disclaimer;
    std::vector<std::string> channels, names;
    std::vector<std::optional<double>> thresholds;  // none: this region is not assessed
    size_t min_consecutive_slices = 1;
    size_t window = 1;                        // slices that one answer looks at
    std::optional<double> window_spacing_mm;  // none: neighbours are the next slices
};

std::vector<std::string> split(std::string text, const std::string& separators) {
    std::vector<std::string> words;
    for (size_t at = 0; (at = text.find_first_not_of(separators, at)) != std::string::npos;) {
        const size_t end = std::min(text.find_first_of(separators, at), text.size());
        words.push_back(text.substr(at, end - at));
        at = end;
    }
    return words;
}

Metadata read_metadata(const ov::Model& model, const std::string& id) {
    const auto text = [&](const char* group, const char* key) {
        return model.get_rt_info<std::string>(group, key);
    };
    Metadata metadata;
    metadata.id = id;
    metadata.approach = text("aminet_info", "approach");
    metadata.disclaimer = text("aminet_info", "disclaimer");
    metadata.precision = model.has_rt_info("nncf", "quantization") ? "int8" : "fp32";
    metadata.channels = split(text("aminet_info", "channels"), " ,");
    metadata.min_consecutive_slices = std::stoul(text("aminet_info", "min_consecutive_slices"));
    if (model.has_rt_info("aminet_info", "window")) {
        metadata.window = std::stoul(text("aminet_info", "window"));
        if (const auto mm = text("aminet_info", "window_spacing_mm"); mm != "null")
            metadata.window_spacing_mm = std::stod(mm);
    }
    for (auto& label : split(text("model_info", "labels"), " ")) {
        std::replace(label.begin(), label.end(), '_', ' ');  // labels may not hold spaces
        metadata.names.push_back(label);
    }
    for (const auto& word : split(text("aminet_info", "thresholds"), "[], "))
        metadata.thresholds.push_back(word == "null" || word == "None"
                                          ? std::nullopt
                                          : std::optional<double>(std::stod(word)));
    if (metadata.names.size() != metadata.thresholds.size() || metadata.names.empty() ||
        metadata.min_consecutive_slices < 1)
        throw Failure{kModelInvalid, "labels and thresholds of the network do not fit together"};
    return metadata;
}

// A network of late fusion is cut in two where docs/bundle.md says: what sees a slice alone, and what
// answers for the features of a window.
const char* const kAlone = "slices_alone";
const char* const kFeatures = "features";

ov::Output<ov::Node> tensor_named(const ov::Model& model, const std::string& name) {
    for (const auto& node : model.get_ordered_ops())
        for (const auto& output : node->outputs())
            if (output.get_names().count(name)) return output;
    return {};
}

// Let what is computed from a tensor be computed from an input in its place.
std::shared_ptr<ov::op::v0::Parameter> opened(const ov::Model& model, const std::string& name) {
    const auto tensor = tensor_named(model, name);
    auto shape = ov::PartialShape::dynamic(tensor.get_partial_shape().rank());
    shape[1] = tensor.get_partial_shape()[1];
    const auto given = std::make_shared<ov::op::v0::Parameter>(tensor.get_element_type(), shape);
    for (auto target : tensor.get_target_inputs()) target.replace_source_output(given);
    return given;
}

struct Parts {
    std::shared_ptr<ov::Model> alone, together;
};

Parts cut(const ov::Model& model) {
    const auto above = model.clone(), below = model.clone();
    const auto slices = opened(*above, kAlone);
    const auto seen = std::make_shared<ov::op::v0::Result>(tensor_named(*above, kFeatures));
    const auto features = opened(*below, kFeatures);
    return {std::make_shared<ov::Model>(ov::ResultVector{seen}, ov::ParameterVector{slices}),
            std::make_shared<ov::Model>(below->get_results(), ov::ParameterVector{features})};
}

// A verified bundle, and its network compiled for one slice size.
class Network {
public:
    explicit Network(const fs::path& folder) {
        auto files = read_bundle(folder);
        const Bytes& xml = files["model.xml"];
        Bytes both = xml;
        both.insert(both.end(), files["model.bin"].begin(), files["model.bin"].end());
        weights_ = std::move(files["model.bin"]);  // the network reads from it for as long as it lives
        const ov::Tensor weights(ov::element::u8, {weights_.size()}, weights_.data());
        model_ = core_.read_model(std::string(xml.begin(), xml.end()), weights);
        metadata_ = read_metadata(*model_, Sha256::hex_of(both));
        const size_t planes = model_->input("slices").get_partial_shape()[1].get_length();
        for (const auto& channel : metadata_.channels)
            if (!kStems.count(channel))
                throw Failure{kModelIncompatible, "channel " + channel + " is not read here"};
        const bool has_alone = tensor_named(*model_, kAlone).get_node() != nullptr;
        const bool has_features = tensor_named(*model_, kFeatures).get_node() != nullptr;
        sees_alone_ = has_alone && has_features;
        if (has_alone != has_features || (sees_alone_ && metadata_.window == 1))
            throw Failure{kModelInvalid, "the network cannot be cut where its names say"};
        if (planes != metadata_.channels.size() * metadata_.window)
            throw Failure{kModelInvalid, "the network and its window of slices do not fit together"};
        if (metadata_.window > 1 && !sees_alone_)
            throw Failure{kModelIncompatible, "the network looks at slices side by side"};
    }

    const Metadata& metadata() const { return metadata_; }

    // Compile for slices of one size; a network that sees each slice alone in two parts.
    void compile(size_t height, size_t width) {
        const auto shape = ov::PartialShape{1, int64_t(metadata_.channels.size()), int64_t(height),
                                            int64_t(width)};
        if (!sees_alone_) {
            answering_ = request_for(model_, shape);
            input_ = answering_.get_input_tensor();
            return;
        }
        const Parts parts = cut(*model_);
        looking_ = request_for(parts.alone, shape);
        input_ = looking_.get_input_tensor();
        const auto length = int64_t(looking_.get_output_tensor().get_size());
        answering_ = request_for(parts.together, ov::PartialShape{int64_t(metadata_.window), length});
    }

    float* input_hu() { return input_.data<float>(); }  // [C, H, W]
    size_t input_count() const { return input_.get_size(); }
    bool sees_alone() const { return sees_alone_; }

    // The features of the slice in the input.
    std::vector<float> look() {
        looking_.infer();
        return values_of(looking_.get_output_tensor());
    }

    // Show the features of a slice, as that of a place in the window, lowest first.
    void show(size_t place, const std::vector<float>& features) {
        std::copy(features.begin(), features.end(),
                  answering_.get_input_tensor().data<float>() + place * features.size());
    }

    // Answer for the slice in the input, or for the features that are shown.
    std::vector<float> infer() {
        answering_.infer();
        return values_of(answering_.get_tensor("probabilities"));
    }

private:
    static std::vector<float> values_of(const ov::Tensor& tensor) {
        const float* first = tensor.data<const float>();
        return {first, first + tensor.get_size()};
    }

    ov::InferRequest request_for(const std::shared_ptr<ov::Model>& model, const ov::PartialShape& shape) {
        model->reshape(shape);
        // f32 keeps machines with bfloat16 units from answering otherwise
        return core_
            .compile_model(model, "CPU",
                           ov::hint::performance_mode(ov::hint::PerformanceMode::LATENCY),
                           ov::num_streams(1), ov::inference_num_threads(1),
                           ov::hint::inference_precision(ov::element::f32),
                           ov::hint::enable_cpu_pinning(false))
            .create_infer_request();
    }

    Bytes weights_;
    ov::Core core_;
    std::shared_ptr<ov::Model> model_;
    Metadata metadata_;
    bool sees_alone_ = false;
    ov::InferRequest looking_, answering_;
    ov::Tensor input_;
};

// ---- a NIfTI-1 file as canonical slices (LPS: right to left, front to back, lowest first) -------

class Volume {
public:
    explicit Volume(const fs::path& path) : name_(path.filename().string()) {
        if (fs::symlink_status(path).type() != fs::file_type::regular)
            throw Failure{kMissing, name_ + " is not a regular file"};
        file_.reset(gzopen(path.c_str(), "rb"));
        if (!file_) throw Failure{kMissing, name_ + " cannot be opened"};
        gzbuffer(file_.get(), 1 << 18);
        read_header();
    }

    std::array<size_t, 3> shape() const { return {length(2), length(1), length(0)}; }  // Z, H, W
    double spacing_mm(int world) const { return spacing_mm_[axes_[world]]; }
    bool is_axial() const { return axes_[2] == 2; }
    bool runs_upward() const { return !flipped_[2]; }

    // Hold the whole volume, for scans that are not stored axially or run against the others.
    void hold() {
        stored_.resize(stored_slice_bytes() * count_[2]);
        read(stored_.data(), stored_.size());
        finish();
        is_held_ = true;
    }

    // Write the next slice in stored order, which is canonical slice `z`; held: any slice.
    void write_hu(size_t z, float* out) {
        if (!is_held_) {
            stored_.resize(stored_slice_bytes());
            read(stored_.data(), stored_.size());
            if (++slices_read_ == count_[2]) finish();
        }
        switch (datatype_) {
            case 2: return scale<uint8_t>(z, out);
            case 4: return scale<int16_t>(z, out);
            case 8: return scale<int32_t>(z, out);
            case 16: return scale<float>(z, out);
            case 64: return scale<double>(z, out);
            case 256: return scale<int8_t>(z, out);
            case 512: return scale<uint16_t>(z, out);
        }
    }

private:
    struct Close {
        void operator()(gzFile file) const { gzclose(file); }
    };
    using Axes = std::array<std::array<double, 3>, 3>;  // [world][stored], RAS mm a voxel

    std::string name_;
    std::unique_ptr<gzFile_s, Close> file_;
    std::array<size_t, 3> count_{};  // along the stored axes i, j, k
    std::array<double, 3> spacing_mm_{};
    std::array<int, 3> axes_{};      // which stored axis runs along x, y, z
    std::array<bool, 3> flipped_{};  // whether it runs against LPS
    int datatype_ = 0, voxel_bytes_ = 0;
    float slope_ = 1, intercept_ = 0;
    Bytes stored_;
    bool is_held_ = false;
    size_t slices_read_ = 0;

    size_t length(int world) const { return count_[axes_[world]]; }
    size_t stored_slice_bytes() const { return count_[0] * count_[1] * voxel_bytes_; }

    [[noreturn]] void refuse(const std::string& why) const {
        throw Failure{kUnsupported, name_ + ": " + why};
    }

    void read(char* out, size_t count) {
        while (count > 0) {
            const int got = gzread(file_.get(), out, unsigned(std::min<size_t>(count, 1 << 30)));
            if (got <= 0) throw Failure{kDamaged, name_ + " ends early or is damaged"};
            out += got;
            count -= got;
        }
    }

    void finish() {  // zlib compares the check sum when it meets the end
        char more;
        int status = Z_OK;
        const int got = gzread(file_.get(), &more, 1);
        gzerror(file_.get(), &status);
        if (got != 0 || status < 0)
            throw Failure{kDamaged, name_ + " fails its check sum or goes on behind its end"};
    }

    void read_header() {
        char header[352];
        read(header, sizeof header);
        const auto at = [&](auto kind, size_t offset) {
            std::memcpy(&kind, header + offset, sizeof kind);
            return kind;
        };
        if (at(int32_t(), 0) != 348 || std::memcmp(header + 344, "n+1", 4) != 0)
            refuse("not a little-endian NIfTI-1 file");
        for (int axis = 0; axis < 3; ++axis) {
            const int length = at(int16_t(), 42 + 2 * axis);
            if (length < 1 || length > 4096) refuse("an axis is empty or too long");
            count_[axis] = size_t(length);
            spacing_mm_[axis] = at(float(), 80 + 4 * axis);
            if (!(spacing_mm_[axis] >= 0.01 && spacing_mm_[axis] <= 100)) refuse("bad voxel size");
        }
        for (int axis = 3; axis < at(int16_t(), 40); ++axis)
            if (axis >= 7 || at(int16_t(), 42 + 2 * axis) != 1) refuse("not a single volume");
        if (at(int16_t(), 40) < 3) refuse("not a volume");
        if (count_[0] * count_[1] * count_[2] > size_t(1) << 31) refuse("too many voxels");
        const std::map<int, int> sizes{{2, 1}, {4, 2}, {8, 4}, {16, 4}, {64, 8}, {256, 1}, {512, 2}};
        datatype_ = at(int16_t(), 70);
        if (!sizes.count(datatype_)) refuse("a datatype that is not read here");
        voxel_bytes_ = sizes.at(datatype_);
        if (at(int16_t(), 72) != 8 * voxel_bytes_) refuse("datatype and bits disagree");
        if ((header[123] & 7) != 0 && (header[123] & 7) != 2) refuse("not in millimetres");
        if (const float slope = at(float(), 112); slope != 0 && !std::isnan(slope)) {
            slope_ = slope, intercept_ = at(float(), 116);
            if (!std::isfinite(slope_) || !std::isfinite(intercept_)) refuse("scaling is no number");
        }
        place(at);
        skip_to_voxels(at(float(), 108));
    }

    void skip_to_voxels(float offset) {
        if (!(offset >= 352 && offset <= 1 << 24)) refuse("the voxels start at a bad place");
        Bytes extensions(size_t(offset) - 352);
        if (!extensions.empty()) read(extensions.data(), extensions.size());
    }

    // Name the stored axes by the sform, else by the qform; where both are there, they must agree.
    template <class At>
    void place(const At& at) {
        std::vector<Axes> known;
        if (at(int16_t(), 254) > 0) {
            Axes rows;
            for (int i = 0; i < 9; ++i) rows[i / 3][i % 3] = at(float(), 280 + 16 * (i / 3) + 4 * (i % 3));
            known.push_back(rows);
        }
        if (at(int16_t(), 252) > 0)
            known.push_back(rotation(at(float(), 256), at(float(), 260), at(float(), 264), at(float(), 76)));
        if (known.empty()) refuse("the header does not say how the patient lies");
        for (auto one = known.rbegin(); one != known.rend(); ++one) {
            const auto earlier = std::pair(axes_, flipped_);
            name_axes(*one);
            if (one != known.rbegin() && earlier != std::pair(axes_, flipped_))
                refuse("qform and sform contradict each other");
        }
    }

    Axes rotation(double b, double c, double d, double qfac) const {  // nifti1.h, method 2
        const double a = std::sqrt(std::max(0.0, 1 - b * b - c * c - d * d));
        Axes axes{{{a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)},
                   {2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)},
                   {2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c}}};
        for (auto& row : axes) row[2] *= qfac < 0 ? -1 : 1;
        return axes;
    }

    void name_axes(const Axes& axes) {
        std::array<bool, 3> taken{};
        for (int stored = 0; stored < 3; ++stored) {
            const double x = axes[0][stored], y = axes[1][stored], z = axes[2][stored];
            const double norm = std::sqrt(x * x + y * y + z * z);
            const std::array<double, 3> size{std::abs(x), std::abs(y), std::abs(z)};
            const int world = int(std::max_element(size.begin(), size.end()) - size.begin());
            // beyond 35 degrees an axis has no name
            if (!(size[world] >= 0.819 * norm) || taken[world]) refuse("the slices are oblique");
            taken[world] = true;
            axes_[world] = stored;
            const bool towards_ras = axes[world][stored] > 0;
            flipped_[world] = world == 2 ? !towards_ras : towards_ras;
        }
    }

    // Walk over a canonical slice: where the next row and column lie, among the stored voxels.
    template <class Voxel>
    void scale(size_t z, float* out) const {
        const auto* voxels = reinterpret_cast<const Voxel*>(stored_.data());
        const std::array<ptrdiff_t, 3> jump{1, ptrdiff_t(count_[0]), ptrdiff_t(count_[0] * count_[1])};
        const auto offset = [&](int world, size_t index) {
            return jump[axes_[world]] * ptrdiff_t(flipped_[world] ? length(world) - 1 - index : index);
        };
        const ptrdiff_t step = flipped_[0] ? -jump[axes_[0]] : jump[axes_[0]];
        for (size_t row = 0; row < length(1); ++row) {
            const Voxel* voxel = voxels + offset(1, row) + offset(0, 0) + (is_held_ ? offset(2, z) : 0);
            for (size_t column = 0; column < length(0); ++column, voxel += step)
                *out++ = float(*voxel) * slope_ + intercept_;
        }
    }
};

fs::path file_of(const fs::path& patient, const std::string& channel) {
    for (const char* suffix : {".nii.gz", ".nii"})
        if (auto path = patient / (kStems.at(channel) + suffix); fs::exists(path)) return path;
    throw Failure{kMissing, kStems.at(channel) + ".nii.gz is not there"};
}

// ---- the decision rule of docs/result.md ----------------------------------------------------------

using Scores = std::vector<std::vector<float>>;  // [Z][R], lowest slice first

struct Finding {
    bool is_affected = false;
    double probability = 0;       // the highest value that some run of slices reaches throughout
    std::vector<size_t> slices;   // those in long enough runs at or above the threshold
    size_t peak_slice = 0;
};

Finding assess(const Scores& scores, size_t region, double threshold, size_t min_consecutive) {
    Finding finding;
    const size_t run = std::min(min_consecutive, scores.size());
    std::vector<bool> kept(scores.size());
    for (size_t start = 0; start + run <= scores.size(); ++start) {
        double lowest = 1;
        for (size_t z = start; z < start + run; ++z) lowest = std::min<double>(lowest, scores[z][region]);
        finding.probability = std::max(finding.probability, lowest);
        if (lowest >= threshold) std::fill_n(kept.begin() + start, run, true);
    }
    finding.is_affected = finding.probability >= threshold;
    for (size_t z = 0; z < scores.size(); ++z)
        if (kept[z]) finding.slices.push_back(z);
    std::optional<size_t> peak;
    for (size_t z = 0; z < scores.size(); ++z)
        if ((finding.slices.empty() || kept[z]) && (!peak || scores[z][region] > scores[*peak][region]))
            peak = z;
    finding.peak_slice = *peak;
    return finding;
}

// ---- JSON ----------------------------------------------------------------------------------------

std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        char escaped[8];
        std::snprintf(escaped, sizeof escaped, "\\u%04x", unsigned(uint8_t(c)));
        if (c == '"' || c == '\\' || uint8_t(c) < 0x20) out += escaped;
        else out += c;
    }
    return out + '"';
}

std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.17g", value);  // in full: a double comes back as it was
    return text;
}

template <class Items, class Write>
std::string list(const Items& items, const Write& write) {
    std::string out = "[";
    for (const auto& item : items) out += (out.size() > 1 ? ", " : "") + write(item);
    return out + "]";
}

std::string regions_json(const Scores& scores, const Metadata& metadata) {
    std::vector<size_t> indices(metadata.names.size());
    for (size_t i = 0; i < indices.size(); ++i) indices[i] = i;
    return list(indices, [&](size_t i) {
        const std::string head =
            "{\"index\": " + std::to_string(i) + ", \"name\": " + quoted(metadata.names[i]);
        const auto threshold = metadata.thresholds[i];
        if (!threshold)
            return head + ", \"affected\": null, \"probability\": null, \"threshold\": null, "
                          "\"slices\": [], \"peak_slice\": null}";
        const Finding found = assess(scores, i, *threshold, metadata.min_consecutive_slices);
        return head + ", \"affected\": " + (found.is_affected ? "true" : "false") +
               ", \"probability\": " + number(found.probability) +
               ", \"threshold\": " + number(*threshold) +
               ", \"slices\": " + list(found.slices, [](size_t z) { return std::to_string(z); }) +
               ", \"peak_slice\": " + std::to_string(found.peak_slice) + "}";
    });
}

std::string row_json(const std::vector<float>& row) { return list(row, number); }

// ---- what the command does -------------------------------------------------------------------------

// An atlas that is no atlas would give wrong regions without a word.
void require_regions(const float* values, size_t count) {
    const bool are_regions = std::all_of(values, values + count, [](float value) {
        return value >= 0 && value < float(kRegions) && value == std::floor(value);
    });
    if (!are_regions) throw Failure{kInconsistent, "the atlas holds values that are no regions"};
}

// How many slices apart the neighbours of a window are; halves to even, as all hosts round.
size_t step_of(const Metadata& metadata, double slice_spacing_mm) {
    if (!metadata.window_spacing_mm) return 1;
    return size_t(std::max(1.0, std::nearbyint(*metadata.window_spacing_mm / slice_spacing_mm)));
}

Scores score_patient(Network& network, std::vector<std::unique_ptr<Volume>>& volumes) {
    const auto shape = volumes[0]->shape();
    const size_t depth = shape[0], height = shape[1], width = shape[2];
    const bool upward = volumes[0]->runs_upward();
    bool can_stream = true;
    for (const auto& volume : volumes) {
        if (volume->shape() != shape)
            throw Failure{kInconsistent, "the phases have different sizes"};
        can_stream = can_stream && volume->is_axial() && volume->runs_upward() == upward;
    }
    if (!can_stream)
        for (const auto& volume : volumes) volume->hold();
    network.compile(height, width);
    Scores scores(depth);
    const size_t step = step_of(network.metadata(), volumes[0]->spacing_mm(2));
    const size_t half = network.metadata().window / 2, reach = half * step;
    std::vector<std::vector<float>> ring(2 * reach + 1);  // features, by position
    const auto slice_at = [&](size_t position) {
        return can_stream && !upward ? depth - 1 - position : position;
    };
    const auto answer = [&](size_t centre) {
        for (size_t k = 0; k < network.metadata().window; ++k) {
            const auto wanted = int64_t(centre) + (int64_t(k) - int64_t(half)) * int64_t(step);
            const auto position = size_t(std::clamp<int64_t>(wanted, 0, int64_t(depth) - 1));
            const bool upside_down = slice_at(0) > slice_at(depth - 1);
            network.show(upside_down ? 2 * half - k : k, ring[position % ring.size()]);
        }
        scores[slice_at(centre)] = network.infer();
    };
    for (size_t position = 0; position < depth; ++position) {
        const size_t z = slice_at(position);
        for (size_t channel = 0; channel < volumes.size(); ++channel)
            volumes[channel]->write_hu(z, network.input_hu() + channel * height * width);
        const float* hu = network.input_hu();
        if (!std::all_of(hu, hu + network.input_count(), [](float v) { return std::isfinite(v); }))
            throw Failure{14, "slice " + std::to_string(z) + " holds values that are not finite"};
        for (size_t channel = 0; channel < volumes.size(); ++channel)
            if (network.metadata().channels[channel] == kAtlas)
                require_regions(hu + channel * height * width, height * width);
        if (!network.sees_alone()) {
            scores[z] = network.infer();
            continue;
        }
        ring[position % ring.size()] = network.look();
        if (position >= reach) answer(position - reach);
    }
    if (network.sees_alone())
        for (size_t centre = depth - std::min(reach, depth); centre < depth; ++centre) answer(centre);
    return scores;
}

std::string utc_now() {
    char text[32];
    const std::time_t now = std::time(nullptr);
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
    return text;
}

void run_patient(Network& network, const fs::path& folder, const fs::path& bundle) {
    using Clock = std::chrono::steady_clock;
    const auto started = Clock::now();
    const Metadata& metadata = network.metadata();
    std::vector<std::unique_ptr<Volume>> volumes;
    for (const auto& channel : metadata.channels)
        volumes.push_back(std::make_unique<Volume>(file_of(folder, channel)));
    const Scores scores = score_patient(network, volumes);
    const double stream_ms =
        std::chrono::duration<double, std::milli>(Clock::now() - started).count();
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto [depth, height, width] = volumes[0]->shape();
    const Volume& first = *volumes[0];
    std::cout << "{\"schema\": \"aminet.result/1\", \"patient\": "
              << quoted(fs::absolute(folder / "").parent_path().filename().string())
              << ", \"status\": \"ok\", \"created\": " << quoted(utc_now())
              << ", \"model\": {\"id\": " << quoted(metadata.id)
              << ", \"approach\": " << quoted(metadata.approach)
              << ", \"precision\": " << quoted(metadata.precision)
              << ", \"bundle\": " << quoted(fs::absolute(bundle / "").parent_path().filename().string())
              << ", \"engine\": " << quoted(std::string("OpenVINO ") + ov::get_openvino_version().buildNumber)
              << "}, \"regions\": " << regions_json(scores, metadata)
              << ", \"min_consecutive_slices\": " << metadata.min_consecutive_slices
              << ", \"slices\": {\"count\": " << depth
              << ", \"probabilities\": " << list(scores, row_json)
              << "}, \"input\": {\"shape\": [" << width << ", " << height << ", " << depth
              << "], \"spacing_mm\": [" << first.spacing_mm(0) << ", " << first.spacing_mm(1) << ", "
              << first.spacing_mm(2) << "], \"orientation\": \"LPS\"}, \"threads\": 1"
              << ", \"timings_ms\": {\"total\": " << stream_ms << "}, \"peak_rss_mib\": "
              << double(usage.ru_maxrss) / 1024 << ", \"disclaimer\": " << quoted(metadata.disclaimer)
              << "}\n";
}

std::vector<float> read_floats(const fs::path& path) {
    const Bytes data = read_regular(path, kMissing);
    std::vector<float> values(data.size() / sizeof(float));
    std::memcpy(values.data(), data.data(), values.size() * sizeof(float));
    return values;
}

void run_planes(Network& network, const fs::path& path, size_t height, size_t width) {
    const std::vector<float> values = read_floats(path);
    network.compile(height, width);
    const size_t window = network.metadata().window, plane = height * width;
    if (values.size() != network.input_count() * window)
        throw Failure{kUsage, "the file has another shape"};
    for (size_t place = 0; place < window; ++place) {
        for (size_t channel = 0; channel < network.metadata().channels.size(); ++channel)
            std::copy_n(&values[(channel * window + place) * plane], plane,
                        network.input_hu() + channel * plane);
        if (network.sees_alone()) network.show(place, network.look());
    }
    std::cout << row_json(network.infer()) << "\n";
}

void decide(const Metadata& metadata, const fs::path& path) {
    const std::vector<float> values = read_floats(path);
    const size_t regions = metadata.names.size();
    if (values.empty() || values.size() % regions) throw Failure{kUsage, "scores are not [Z, R]"};
    Scores scores;
    for (auto row = values.begin(); row != values.end(); row += regions)
        scores.emplace_back(row, row + regions);
    std::cout << "{\"regions\": " << regions_json(scores, metadata) << "}\n";
}

int main(int count, char** words) {
    // oneDNN reads this when it compiles; AMX would answer otherwise than all other machines
    setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_VNNI", /*overwrite=*/0);
    try {
        const std::vector<std::string> args(words + 1, words + count);
        const std::string verb = args.size() > 1 ? args[1] : "";
        const bool is_planes = verb == "--planes" && args.size() == 6;
        const bool is_decide = verb == "--decide" && args.size() == 3;
        if (!is_planes && !is_decide && (args.size() != 2 || verb.rfind("--", 0) == 0))
            throw Failure{kUsage, "usage: aminet_host BUNDLE PATIENT | --planes FILE C H W | --decide FILE"};
        Network network(args[0]);
        if (is_planes) run_planes(network, args[2], std::stoul(args[4]), std::stoul(args[5]));
        else if (is_decide) decide(network.metadata(), args[2]);
        else run_patient(network, args[1], args[0]);
        return 0;
    } catch (const Failure& failure) {
        std::cerr << "aminet_host: error: " << failure.message << "\n";
        return failure.exit_code;
    } catch (const ov::Exception& error) {
        std::cerr << "aminet_host: error: OpenVINO: " << error.what() << "\n";
        return kModelInvalid;
    } catch (const std::exception& error) {
        std::cerr << "aminet_host: error: " << error.what() << "\n";
        return kInternal;
    }
}
